/** Functions that take what they can get. */
export const EATS = `
def handler(event, context):
    kept = []
    while len(kept) < 600:
        kept.append(bytearray(b"x") * (1 << 20))
`;

export const FORKS = `
import os, time, errno
def handler(event, context):
    children = []
    try:
        while len(children) < 500:
            pid = os.fork()
            if pid == 0:
                time.sleep(60)
                os._exit(0)
            children.append(pid)
    except OSError as error:
        return [len(children), errno.errorcode[error.errno]]
    return [len(children), "none"]
`;
