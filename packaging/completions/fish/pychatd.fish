# Completion of pychatd(8) for fish: commands, options, and the ports of lines that run.

set -l commands start run fingerprint stop status
set -l none "not __fish_seen_subcommand_from $commands"
set -l line '__fish_seen_subcommand_from start run fingerprint'
set -l ports '(find /run/pychatd $XDG_RUNTIME_DIR/pychatd -maxdepth 1 -regex ".*/[0-9]+" -printf "%f\n" 2>/dev/null)'

complete -c pychatd -f
complete -c pychatd -s h -l help -d 'Print commands or options'
complete -c pychatd -n $none -l version -d 'Print the version'
complete -c pychatd -n $none -a start -d 'Start a daemon'
complete -c pychatd -n $none -a run -d 'Run in the foreground'
complete -c pychatd -n $none -a fingerprint -d 'Print the key that callers see'
complete -c pychatd -n $none -a stop -d 'Stop a daemon'
complete -c pychatd -n $none -a status -d 'Tell what runs'
complete -c pychatd -n '__fish_seen_subcommand_from fingerprint stop status' -a $ports
complete -c pychatd -n '__fish_seen_subcommand_from run' -l exit-idle -d 'Leave when nobody is there'
complete -c pychatd -n $line -l config -r -F -d 'Configuration file'
complete -c pychatd -n $line -l listen -x -d 'Listen only here'
complete -c pychatd -n $line -l handle -x -d "The operator's handle"
complete -c pychatd -n $line -l turns -x -a 'alternate free' -d 'Take turns or speak freely'
complete -c pychatd -n $line -l state-directory -x -a '(__fish_complete_directories)' -d 'Where journals are'
complete -c pychatd -n $line -l syslog -r -F -d "The system log's socket"
complete -c pychatd -n "__fish_seen_subcommand_from $commands" -l runtime-directory -x \
    -a '(__fish_complete_directories)' -d 'Where console sockets are'
complete -c pychatd -n '__fish_seen_subcommand_from status' -l json -d 'One JSON object a line'
