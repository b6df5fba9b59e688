# Completion of pychatd-console(1) for fish: options, and the ports of lines that run.

set -l ports '(find /run/pychatd $XDG_RUNTIME_DIR/pychatd -maxdepth 1 -regex ".*/[0-9]+" -printf "%f\n" 2>/dev/null)'

complete -c pychatd-console -f -a $ports
complete -c pychatd-console -l handle -x -d 'Your handle'
complete -c pychatd-console -l take-over -d 'Take the console from who holds it'
complete -c pychatd-console -l runtime-directory -x -a '(__fish_complete_directories)' -d 'Where console sockets are'
complete -c pychatd-console -l history -d 'Print all conversations'
complete -c pychatd-console -l since -x -d 'Only what was said since then'
complete -c pychatd-console -l grep -x -d 'Only messages in which this is found'
complete -c pychatd-console -l json -d 'JSON objects, for programs'
complete -c pychatd-console -l no-history -d 'Keep no line that is typed'
complete -c pychatd-console -l log -r -F -d 'Append what is said to a file'
complete -c pychatd-console -l plain -d 'Plain lines, no screen'
complete -c pychatd-console -l retry-for -x -d 'Give up calling again after so many seconds'
complete -c pychatd-console -s h -l help -d 'Print the options'
complete -c pychatd-console -l version -d 'Print the version'
