# What bash runs before its script (BASH_ENV), in a sandbox that waits for its call: it tells its version and stops at a named pipe, which
# holds the call's environment once the call has come. Only then does bash open the script, so that everything about the script is as ever.
unset BASH_ENV
printf %s "${BASH_VERSION%%[!0-9.]*}"
. "${CRONIUM_EVENT_FILE%/*}/begin"
# Who was to write it has been killed before the end, for want of memory: without all of its environment no script runs.
[ $? = 42 ] || kill -KILL $$
SECONDS=0
# As it is in a bash that has only started: $_ is its name.
: bash
