"""The agent that serves Python and Bash functions; runtimes/PROTOCOL.md is what it speaks."""
