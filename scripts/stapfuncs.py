#!/usr/bin/env python3
"""scripts/stapfuncs.py [STAP] > docs/man/stapfuncs.3stap: the manual page of the library's functions.

What is built in comes from `stap --dump-functions`, with a line each from the table below; the rest from the tapset's
files: what a file says at its top heads a section, the comment in front of a function describes it."""

import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent

BUILT_IN = {
    "Who and where": """
tid: thread id; pid: process id; ppid: process id of the parent; pgrp: process group; sid: session
uid: user id; euid: effective user id; gid: group id; egid: effective group id
execname: name of the process, at most 15 bytes; pexecname: that of the parent; cpu: number of the processor
pp: the probe point, resolved; pn: the probe point as the script has it; user_mode: is the processor in user mode?
target: process of -c, or the argument of -x; stp_pid: process id of stap; module_name: name of the session, of -m; task_current: address of the current task_struct
""",
    "Time": """
gettimeofday_s gettimeofday_ms gettimeofday_us gettimeofday_ns: time since 1970
local_clock_s local_clock_ms local_clock_us local_clock_ns: a clock of the processor that never goes back
jiffies: the kernel's ticks; HZ: ticks a second; get_cycles: the processor's cycle counter
tz_gmtoff: seconds that local time is behind UTC; tz_name: name of the local time zone
""",
    "Control": """
exit: ends the run: no new handler starts, end probes run; abort: ends the run and this handler, end probes run
error: a run-time error with this text; warn: a warning on standard error; log: a line of output
""",
    "Strings": """
strlen: bytes; substr: from a position (0 is the first), so many bytes; stringat: the byte at a position; isinstr: is the second part of the first?
strpos: position of the second in the first, or -1; str_replace: each second in the first by the third
strtol: the number that a string begins with, to a base; tolower toupper: letters; isdigit: does it begin with a digit?
tokenize: the string's first part up to one of the delimiters; without a string: the next part
matched: the text of a group of the last =~ that matched; 0 is all of it
string_quoted: with C escapes, in quotes; text_str text_strn: with C escapes; randint: random, from 0 to one less
""",
    "Arguments and results of what is probed": """
int_arg uint_arg long_arg ulong_arg longlong_arg ulonglong_arg s32_arg s64_arg u32_arg u64_arg pointer_arg: the argument with this number, from 1, as a value of this type
asmlinkage fastcall regparm: how the arguments are passed, where the kernel does so in a way of its own
returnval: what the function or system call returns; returnstr: the same as text: 1 decimal, 2 hexadecimal, 3 octal
syscall_name: name of the system call with this number
""",
    "Memory": """
kernel_string: string at a kernel address; the second argument is used when it can't be read; kernel_string_quoted: in quotes
user_string: string at an address of the current process; user_string_quoted: in quotes; user_string_n: at most so many bytes
errno_str: name of an error number
""",
}


def describe():
    """name -> line, section -> names"""
    text, sections = {}, {}
    for section, body in BUILT_IN.items():
        sections[section] = []
        for item in re.split(r"[;\n]\s*(?=[a-zA-Z_0-9 ]+: )", body.strip()):
            names, line = item.split(": ", 1)
            for name in names.split():
                text[name] = line.strip()
                sections[section].append(name)
    return text, sections


def tapset_file(path):
    """The file's heading and its functions: (heading, [(name, comment)])"""
    lines = path.read_text().splitlines()
    heading, functions, comment, first = "", [], [], True
    inside = False
    for line in lines:
        if inside or line.startswith("/*"):
            comment.append(line.strip().removeprefix("/*").removesuffix("*/").strip().removeprefix("*").strip())
            inside = "*/" not in line
            continue
        if line.startswith("#") or line.startswith("//"):
            comment.append(line.lstrip("#/ "))
            continue
        if first and comment and not line:
            heading, comment, first = " ".join(comment), [], False
            continue
        m = re.match(r"function (\w+)", line)
        if m and not m[1].startswith("_"):
            functions.append((m[1], " ".join(comment)))
        if not m or line:
            comment = []
    return heading, functions


def escape(s):
    s = s.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + s if s[:1] in (".", "'") else s


def entry(signatures, text):
    for i, s in enumerate(signatures):
        print(".TP" if i == 0 else ".TQ")
        print(f".B {escape(s)}")
    print(escape(text) if text else "\\&")


def main():
    stap = sys.argv[1] if len(sys.argv) > 1 else str(TOP / "build/stap")
    listed = subprocess.run([stap, "--dump-functions"], stdout=subprocess.PIPE, check=True, text=True).stdout
    signatures = {}
    for line in listed.splitlines():
        if line.startswith("_"):
            continue
        signatures.setdefault(line.split(":")[0], []).append(line)
    print('.\\" Made by scripts/stapfuncs.py.')
    print('.TH STAPFUNCS 3stap "" "stap 5.2" "Library"')
    print(".SH NAME\nstapfuncs \\- functions for stap's scripts")
    print(".SH DESCRIPTION\nEach is shown with the types of its result and of its arguments.\n"
          "A function of the script with the same name takes precedence.")
    text, sections = describe()
    missing = set(signatures)
    for section, names in sections.items():
        print(f".SH {section.upper()}")
        for name in names:
            if name in signatures:
                entry(signatures[name], text[name])
                missing.discard(name)
    for path in sorted((TOP / "tapset").glob("*.stp")):
        heading, functions = tapset_file(path)
        functions = [(n, c) for n, c in functions if n in missing]
        if not functions:
            continue
        print(f".SH {escape(path.stem.replace('_', ' ').upper())}")
        if heading:
            print(escape(heading))
        for name, comment in functions:
            if name in missing:
                entry(signatures[name], comment)
                missing.discard(name)
    if missing:
        sys.exit("no description of: " + " ".join(sorted(missing)))
    print(".SH SEE ALSO\n.BR stap (1),\n.BR stapprobes (3stap)")


if __name__ == "__main__":
    main()
