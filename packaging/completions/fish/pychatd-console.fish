# Completion of pychatd-console(1) for fish: options, and the ports of the services that run.

set -l state (set -q XDG_STATE_HOME; and echo $XDG_STATE_HOME; or echo $HOME/.local/state)
set -l ports '(find /run/pychatd '$state'/pychatd/run -maxdepth 1 -regex ".*/[0-9]+" -printf "%f\n" 2>/dev/null)'

complete -c pychatd-console -f -a $ports
complete -c pychatd-console -l handle -x -d 'Your handle'
complete -c pychatd-console -l take-over -d 'Detach the other console, and attach this one'
complete -c pychatd-console -l runtime-directory -x -a '(__fish_complete_directories)' -d 'Where the console sockets are'
complete -c pychatd-console -l conversation -x -d 'Only the conversation with this number'
complete -c pychatd-console -l watch -d 'Tell who calls and what is unread'
complete -c pychatd-console -l remind -x -d 'Alert again after this time'
complete -c pychatd-console -l history -d 'Print all conversations'
complete -c pychatd-console -l since -x -d 'Only messages since this time'
complete -c pychatd-console -l grep -x -d 'Only messages that match'
complete -c pychatd-console -l json -d 'JSON objects, for programs'
complete -c pychatd-console -l live -d 'Let both sides see what is typed'
complete -c pychatd-console -l no-history -d 'Do not save or suggest typed lines'
complete -c pychatd-console -l log -r -F -d 'Append the conversation to a file'
complete -c pychatd-console -l plain -d 'Plain lines, no screen'
complete -c pychatd-console -l retry-for -x -d 'Give up after this many seconds without a connection'
complete -c pychatd-console -s h -l help -d 'Print the options'
complete -c pychatd-console -l version -d 'Print the version'
