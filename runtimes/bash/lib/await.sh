# What bash runs before its script (BASH_ENV), in a sandbox that waits for its call: it tells its version and stops at a named pipe, which
# holds the call's environment once the call has come. Only then does bash open the script, so that everything about the script is as ever.
unset BASH_ENV
printf %s "${BASH_VERSION%%[!0-9.]*}"
. "${CRONIUM_EVENT_FILE%/*}/begin"
SECONDS=0
