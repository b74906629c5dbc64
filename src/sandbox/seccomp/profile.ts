import type { SecurityLevel } from '../../core/isolation.ts';
import type { SyscallName } from './syscalls.ts';

/** One comparison of an argument, by its index. Arguments are 64 bits wide; with a mask, only its bits are looked at. */
export type Comparison = { arg: number } & ({ is: number; mask?: number } | { atMost: number });

/**
 * What a sandbox may ask of the kernel that it shares. Whatever is not named is answered with EPERM; system calls by another
 * convention than the machine's own, 32-bit ones and x32, end the process.
 */
export interface SeccompProfile {
  allowed: readonly SyscallName[];
  /** Allowed when all comparisons of one of the alternatives hold. */
  conditional: Readonly<Partial<Record<SyscallName, readonly (readonly Comparison[])[]>>>;
  /** Answered with an errno of their own. */
  refusedWith: Readonly<Partial<Record<SyscallName, number>>>;
}

export const EPERM = 1;
const ENOSYS = 38;

const FILES: readonly SyscallName[] = [
  ...['read', 'write', 'readv', 'writev', 'pread64', 'pwrite64', 'preadv', 'pwritev', 'preadv2', 'pwritev2'],
  ...['open', 'openat', 'openat2', 'creat', 'close', 'close_range', 'lseek', 'dup', 'dup2', 'dup3', 'fcntl'],
  ...[
    'stat',
    'lstat',
    'fstat',
    'newfstatat',
    'statx',
    'statfs',
    'fstatfs',
    'access',
    'faccessat',
    'faccessat2',
  ],
  ...['getdents', 'getdents64', 'getcwd', 'chdir', 'fchdir', 'mkdir', 'mkdirat', 'rmdir', 'umask'],
  ...['unlink', 'unlinkat', 'rename', 'renameat', 'renameat2', 'link', 'linkat', 'symlink', 'symlinkat'],
  ...['readlink', 'readlinkat', 'chmod', 'fchmod', 'fchmodat', 'fchmodat2', 'chown', 'fchown', 'lchown'],
  ...['fchownat', 'utime', 'utimes', 'utimensat', 'futimesat', 'truncate', 'ftruncate', 'fallocate', 'flock'],
  ...['fsync', 'fdatasync', 'sync', 'syncfs', 'sync_file_range', 'fadvise64', 'readahead', 'cachestat'],
  ...['copy_file_range', 'sendfile', 'splice', 'tee', 'pipe', 'pipe2'],
  ...['getxattr', 'lgetxattr', 'fgetxattr', 'listxattr', 'llistxattr', 'flistxattr'],
  ...['setxattr', 'lsetxattr', 'fsetxattr', 'removexattr', 'lremovexattr', 'fremovexattr'],
  ...['inotify_init', 'inotify_init1', 'inotify_add_watch', 'inotify_rm_watch'],
] as const;

const WAITING: readonly SyscallName[] = [
  ...['poll', 'ppoll', 'select', 'pselect6', 'epoll_create', 'epoll_create1', 'epoll_ctl', 'epoll_wait'],
  ...['epoll_pwait', 'epoll_pwait2', 'eventfd', 'eventfd2', 'signalfd', 'signalfd4', 'pause', 'nanosleep'],
  ...[
    'timerfd_create',
    'timerfd_settime',
    'timerfd_gettime',
    'timer_create',
    'timer_settime',
    'timer_gettime',
  ],
  ...['timer_getoverrun', 'timer_delete', 'alarm', 'getitimer', 'setitimer', 'clock_nanosleep'],
  ...['clock_gettime', 'clock_getres', 'gettimeofday', 'time', 'times'],
  ...['futex', 'futex_waitv', 'futex_wait', 'futex_wake', 'futex_requeue', 'membarrier', 'rseq'],
  ...['rt_sigaction', 'rt_sigprocmask', 'rt_sigreturn', 'rt_sigpending', 'rt_sigtimedwait', 'rt_sigsuspend'],
  ...['rt_sigqueueinfo', 'rt_tgsigqueueinfo', 'sigaltstack', 'restart_syscall'],
] as const;

const MEMORY: readonly SyscallName[] = [
  ...['mmap', 'munmap', 'mprotect', 'mremap', 'madvise', 'brk', 'msync', 'mincore', 'mseal'],
  ...['mlock', 'mlock2', 'munlock', 'mlockall', 'munlockall', 'map_shadow_stack'],
  // What V8 guards its generated code with.
  ...['pkey_alloc', 'pkey_free', 'pkey_mprotect'],
] as const;

const PROCESSES: readonly SyscallName[] = [
  ...['fork', 'vfork', 'execve', 'execveat', 'exit', 'exit_group', 'wait4', 'waitid'],
  ...['kill', 'tkill', 'tgkill', 'pidfd_open', 'pidfd_send_signal'],
  ...['getpid', 'getppid', 'gettid', 'getpgid', 'getpgrp', 'getsid', 'setpgid', 'setsid'],
  ...['getuid', 'geteuid', 'getgid', 'getegid', 'getresuid', 'getresgid', 'getgroups'],
  // Of no effect without a capability, but for those that change nothing, which programs ask for.
  ...[
    'setuid',
    'setgid',
    'setreuid',
    'setregid',
    'setresuid',
    'setresgid',
    'setgroups',
    'setfsuid',
    'setfsgid',
  ],
  ...['capget', 'capset', 'arch_prctl', 'set_tid_address', 'set_robust_list', 'get_robust_list'],
  ...['sched_yield', 'sched_getaffinity', 'sched_setaffinity', 'sched_getparam', 'sched_setparam'],
  ...['sched_getscheduler', 'sched_setscheduler', 'sched_getattr', 'sched_setattr', 'sched_rr_get_interval'],
  ...['sched_get_priority_max', 'sched_get_priority_min', 'getpriority', 'setpriority'],
  ...['getrlimit', 'setrlimit', 'prlimit64', 'getrusage', 'sysinfo', 'uname', 'getcpu', 'getrandom'],
] as const;

const SOCKETS: readonly SyscallName[] = [
  ...['bind', 'connect', 'listen', 'accept', 'accept4', 'shutdown', 'getsockname', 'getpeername'],
  ...['getsockopt', 'setsockopt', 'sendto', 'recvfrom', 'sendmsg', 'recvmsg', 'sendmmsg', 'recvmmsg'],
] as const;

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. */
const NEW_NAMESPACES = 0x7e020000;
const [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK] = [1, 2, 10, 16];
const [SOCK_STREAM, SOCK_DGRAM] = [1, 2];
const SOCK_TYPE = 0xf;
const IPPROTO_UDP = 17;
const NETLINK_ROUTE = 0;
const FILE_TYPE = 0o170000;
const [FIFO, REGULAR] = [0o010000, 0o100000];
const WORD = 0xffffffff;

/** What its names say, and the default of programs that only want to know which one they have. */
const PERSONALITIES = [0, 0xffffffff];

/** Terminals, without TIOCSTI and TIOCLINUX, which type for others; and what programs ask of any descriptor. */
const IOCTLS = {
  FIONREAD: 0x541b,
  FIONBIO: 0x5421,
  FIOASYNC: 0x5452,
  FIOCLEX: 0x5451,
  FIONCLEX: 0x5450,
  TCGETS: 0x5401,
  TCSETS: 0x5402,
  TCSETSW: 0x5403,
  TCSETSF: 0x5404,
  TCSBRK: 0x5409,
  TCXONC: 0x540a,
  TCFLSH: 0x540b,
  TIOCSCTTY: 0x540e,
  TIOCGPGRP: 0x540f,
  TIOCSPGRP: 0x5410,
  TIOCOUTQ: 0x5411,
  TIOCGWINSZ: 0x5413,
  TIOCSWINSZ: 0x5414,
  TIOCNOTTY: 0x5422,
  TIOCGSID: 0x5429,
  TIOCGPTN: 0x80045430,
  TIOCSPTLCK: 0x40045431,
  TIOCGPTPEER: 0x5441,
  SIOCGIFNAME: 0x8910,
  SIOCGIFCONF: 0x8912,
  SIOCGIFFLAGS: 0x8913,
  SIOCGIFADDR: 0x8915,
  SIOCGIFBRDADDR: 0x8919,
  SIOCGIFNETMASK: 0x891b,
  SIOCGIFMTU: 0x8921,
  SIOCGIFHWADDR: 0x8927,
  SIOCGIFINDEX: 0x8933,
  FICLONE: 0x40049409,
  FS_IOC_GETFLAGS: 0x80086601,
};

const PRCTLS = {
  PR_SET_PDEATHSIG: 1,
  PR_GET_PDEATHSIG: 2,
  PR_GET_DUMPABLE: 3,
  PR_SET_DUMPABLE: 4,
  PR_GET_KEEPCAPS: 7,
  PR_SET_NAME: 15,
  PR_GET_NAME: 16,
  PR_GET_SECCOMP: 21,
  PR_CAPBSET_READ: 23,
  PR_SET_TIMERSLACK: 29,
  PR_GET_TIMERSLACK: 30,
  PR_SET_CHILD_SUBREAPER: 36,
  PR_GET_CHILD_SUBREAPER: 37,
  PR_SET_NO_NEW_PRIVS: 38,
  PR_GET_NO_NEW_PRIVS: 39,
  PR_GET_TID_ADDRESS: 40,
  PR_SET_THP_DISABLE: 41,
  PR_GET_THP_DISABLE: 42,
  PR_SET_VMA: 0x53564d41,
};

const word = (arg: number, values: readonly number[]) =>
  values.map((is): Comparison[] => [{ arg, is, mask: WORD }]);
const ofType = (arg: number, type: number, rest: Comparison[] = []): Comparison[] => [
  { arg, is: type, mask: SOCK_TYPE },
  ...rest,
];

/** Files, pipes, processes and threads, memory, clocks and local sockets: what Python, Node.js, Bash and common programs need. */
const ENHANCED: SeccompProfile = {
  allowed: [...FILES, ...WAITING, ...MEMORY, ...PROCESSES, ...SOCKETS],
  conditional: {
    clone: [[{ arg: 0, is: 0, mask: NEW_NAMESPACES }]],
    socket: [
      [{ arg: 0, is: AF_UNIX }],
      // Loopback, by TCP and UDP: no SCTP, DCCP, MPTCP and what else the kernel would load a module for.
      ...[AF_INET, AF_INET6].flatMap((family) =>
        [SOCK_STREAM, SOCK_DGRAM].map((type) => [
          { arg: 0, is: family },
          ...ofType(1, type, [{ arg: 2, atMost: IPPROTO_UDP }]),
        ]),
      ),
      // How the C library lists interfaces and addresses.
      [
        { arg: 0, is: AF_NETLINK },
        { arg: 2, is: NETLINK_ROUTE },
      ],
    ],
    socketpair: [[{ arg: 0, is: AF_UNIX }]],
    ioctl: word(1, Object.values(IOCTLS)),
    prctl: word(0, Object.values(PRCTLS)),
    personality: word(0, PERSONALITIES),
    mknod: [FIFO, REGULAR, 0].map((is) => [{ arg: 1, is, mask: FILE_TYPE }]),
    mknodat: [FIFO, REGULAR, 0].map((is) => [{ arg: 2, is, mask: FILE_TYPE }]),
  },
  // Its flags are in memory, where no filter can look; C libraries then use `clone`.
  refusedWith: { clone3: ENOSYS },
};

/**
 * As wide as what container engines allow by default to who has no capabilities: for bubblewrap, which has no filter of its own. The
 * kernel's newer inventions, its keys, its packet filter and its hypervisor's socket are not in it.
 */
const BASIC: SeccompProfile = {
  allowed: [
    ...ENHANCED.allowed,
    ...(['ioctl', 'prctl', 'mknod', 'mknodat', 'ptrace', 'process_vm_readv', 'process_vm_writev'] as const),
    ...(['memfd_create', 'vmsplice', 'process_madvise', 'remap_file_pages', 'seccomp', 'kcmp'] as const),
    ...(['shmget', 'shmat', 'shmdt', 'shmctl', 'semget', 'semop', 'semctl', 'semtimedop'] as const),
    ...(['msgget', 'msgsnd', 'msgrcv', 'msgctl', 'mq_open', 'mq_unlink', 'mq_timedsend'] as const),
    ...(['mq_timedreceive', 'mq_notify', 'mq_getsetattr'] as const),
    ...(['io_setup', 'io_destroy', 'io_getevents', 'io_pgetevents', 'io_submit', 'io_cancel'] as const),
    ...(['ioprio_get', 'ioprio_set', 'landlock_create_ruleset', 'landlock_add_rule'] as const),
    ...(['landlock_restrict_self', 'pidfd_getfd'] as const),
  ],
  conditional: {
    clone: ENHANCED.conditional.clone!,
    socket: [
      [{ arg: 0, is: AF_UNIX }],
      [{ arg: 0, is: AF_INET }],
      [{ arg: 0, is: AF_INET6 }],
      [
        { arg: 0, is: AF_NETLINK },
        { arg: 2, is: NETLINK_ROUTE },
      ],
    ],
    socketpair: ENHANCED.conditional.socketpair!,
    personality: ENHANCED.conditional.personality!,
  },
  refusedWith: ENHANCED.refusedWith,
};

/** What is filtered at a level; an engine that has a filter of its own keeps that one at `basic`. */
export function seccompProfile(level: SecurityLevel): SeccompProfile {
  return level === 'basic' ? BASIC : ENHANCED;
}
