"""The whole environment of a function: nothing of the agent's own is in it."""

# What it holds when the call says nothing of it.
DEFAULT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "HOME": "/tmp",
}


def of_call(call):
    """The variables that a call sets, without those that cannot be in an environment."""
    env = call.get("env") or {}
    return {
        name: str(value)
        for name, value in env.items()
        if name and "=" not in name and "\0" not in name + str(value)
    }
