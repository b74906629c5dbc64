import Docker from 'dockerode';
import { engineConfig } from '../engines.ts';

/** Says of each deed what became of it. */
const DEEDS = `
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def tried(deed):
    try:
        deed()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]
def mount():
    if libc.mount(b"none", b"/mnt", b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")
def write(path, text):
    file = os.open(path, os.O_WRONLY)
    os.write(file, text)
    os.close(file)
print("mount", tried(mount))
print("raw", tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)))
print("packet", tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)))
print("chown", tried(lambda: os.chown("/tmp", 1, 1)))
print("write", tried(lambda: write("/etc/passwd", b"")))
print("sysctl", tried(lambda: write("/proc/sys/kernel/domainname", b"x")))
print("tmp", tried(lambda: open("/tmp/file", "w").close()))
`;

/**
 * What a profile stops where nothing else does: by root with every capability and no filter of system calls, in a container whose
 * file system can be written and hides nothing.
 */
export async function alone(): Promise<Record<string, Record<string, string>>> {
  return {
    'cronium-sandbox': await deedsUnder('cronium-sandbox'),
    unconfined: await deedsUnder('unconfined'),
  };
}

async function deedsUnder(profile: string): Promise<Record<string, string>> {
  const { PYTHON_BASE_IMAGE, DOCKER_HOST } = engineConfig();
  const docker = new Docker({ socketPath: new URL(DOCKER_HOST!).pathname });
  const container = await docker.createContainer({
    Image: PYTHON_BASE_IMAGE,
    Cmd: ['python3', '-c', DEEDS],
    Tty: true,
    HostConfig: {
      CapAdd: ['ALL'],
      NetworkMode: 'none',
      SecurityOpt: [`apparmor=${profile}`, 'seccomp=unconfined'],
      MaskedPaths: [],
      ReadonlyPaths: [],
    },
  });
  try {
    await container.start();
    await container.wait();
    const said = (await container.logs({ stdout: true })).toString();
    return Object.fromEntries(
      [...said.matchAll(/^(\w+) (\w+)\r?$/gm)].map(([, deed, became]) => [deed!, became!]),
    );
  } finally {
    await container.remove({ force: true });
  }
}
