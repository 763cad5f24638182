/* Dates. */
#include "runtime/rt_in.h"

/* Puts the two digits of n < 100, the first as `blank` when it is 0. */
INLINE void put_two(u8 *p, u64 n, u8 blank)
{
  p[0] = n < 10 ? blank : (u8)('0' + n / 10);
  p[1] = (u8)('0' + n % 10);
}

INLINE void put_three(u8 *p, u64 word)
{
  p[0] = (u8)word;
  p[1] = (u8)(word >> 8);
  p[2] = (u8)(word >> 16);
}

#define THREE(a, b, c) ((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16)

INLINE u64 day_name(u64 day)
{
  switch (day) {
  case 0:
    return THREE('S', 'u', 'n');
  case 1:
    return THREE('M', 'o', 'n');
  case 2:
    return THREE('T', 'u', 'e');
  case 3:
    return THREE('W', 'e', 'd');
  case 4:
    return THREE('T', 'h', 'u');
  case 5:
    return THREE('F', 'r', 'i');
  }
  return THREE('S', 'a', 't');
}

INLINE u64 month_name(u64 month) /* from March */
{
  switch (month) {
  case 0:
    return THREE('M', 'a', 'r');
  case 1:
    return THREE('A', 'p', 'r');
  case 2:
    return THREE('M', 'a', 'y');
  case 3:
    return THREE('J', 'u', 'n');
  case 4:
    return THREE('J', 'u', 'l');
  case 5:
    return THREE('A', 'u', 'g');
  case 6:
    return THREE('S', 'e', 'p');
  case 7:
    return THREE('O', 'c', 't');
  case 8:
    return THREE('N', 'o', 'v');
  case 9:
    return THREE('D', 'e', 'c');
  case 10:
    return THREE('J', 'a', 'n');
  }
  return THREE('F', 'e', 'b');
}

/* Days are counted from 1 March of year 0, so that a leap day ends its year; years are those of
 * a 400-year cycle of 146097 days.  */
enum { EPOCH_DAY = 719468, DAY_SECONDS = 86400, CYCLE_DAYS = 146097 };

u64 rt_ctime(struct rt_mem *f, u64 dst, s64 seconds)
{
  CHECK_FRAME(f);
  IN(dst);
  u8 *p = f->bytes + dst;
  p[0] = 0;
  if (seconds < -2147483648ll || seconds > 2147483647ll)
    return 0;
  u64 t = (u64)seconds + (u64)EPOCH_DAY * DAY_SECONDS, days = t / DAY_SECONDS;
  u64 clock = t % DAY_SECONDS, cycle = days / CYCLE_DAYS, day = days % CYCLE_DAYS;
  u64 year = (day - day / 1460 + day / 36524 - day / (CYCLE_DAYS - 1)) / 365;
  day -= 365 * year + year / 4 - year / 100;
  u64 month = (5 * day + 2) / 153, mday = day - (153 * month + 2) / 5 + 1;
  year += 400 * cycle + (month >= 10);
  put_three(p, day_name((days + 3) % 7));
  p[3] = p[7] = p[10] = p[19] = ' ';
  put_three(p + 4, month_name(month));
  put_two(p + 8, mday, ' ');
  put_two(p + 11, clock / 3600, '0');
  put_two(p + 14, clock / 60 % 60, '0');
  put_two(p + 17, clock % 60, '0');
  p[13] = p[16] = ':';
  put_two(p + 20, year / 100, '0');
  put_two(p + 22, year % 100, '0');
  p[24] = 0;
  return cut(f, dst, 24);
}
