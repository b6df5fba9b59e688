# Completion of pychatd(8) for fish: commands, options, and the ports of the services that run.

set -l commands start run fingerprint stop status reload config backup block blocked unblock forget \
    invite invitations authorized
set -l none "not __fish_seen_subcommand_from $commands"
set -l service '__fish_seen_subcommand_from start run fingerprint config'
set -l state (set -q XDG_STATE_HOME; and echo $XDG_STATE_HOME; or echo $HOME/.local/state)
set -l ports '(find /run/pychatd '$state'/pychatd/run -maxdepth 1 -regex ".*/[0-9]+" -printf "%f\n" 2>/dev/null)'

complete -c pychatd -f
complete -c pychatd -s h -l help -d 'Print commands or options'
complete -c pychatd -n $none -l version -d 'Print the version'
complete -c pychatd -n $none -a start -d 'Start a daemon'
complete -c pychatd -n $none -a run -d 'Run in the foreground'
complete -c pychatd -n $none -a fingerprint -d 'Print the fingerprint of the certificate'
complete -c pychatd -n $none -a stop -d 'Stop a daemon'
complete -c pychatd -n $none -a status -d 'Print which services run'
complete -c pychatd -n $none -a reload -d 'Let a daemon read its configuration again'
complete -c pychatd -n $none -a backup -d 'Write a copy of the journal to stdout'
complete -c pychatd -n $none -a block -d 'Refuse a caller from now on'
complete -c pychatd -n $none -a blocked -d 'List the blocked callers'
complete -c pychatd -n $none -a unblock -d 'Let a blocked caller call again'
complete -c pychatd -n $none -a forget -d 'Remove a conversation from the journal'
complete -c pychatd -n $none -a config -d 'Print the settings of a service'
complete -c pychatd -n $none -a invite -d 'Print a command that lets one person call'
complete -c pychatd -n $none -a invitations -d 'List the invitations, or revoke one'
complete -c pychatd -n $none -a authorized -d 'List who may call with a certificate'
complete -c pychatd -n '__fish_seen_subcommand_from fingerprint stop status reload config backup block blocked unblock forget' -a $ports
complete -c pychatd -n '__fish_seen_subcommand_from invite invitations authorized' -a $ports
complete -c pychatd -n '__fish_seen_subcommand_from start' -l while -x -a '(__fish_complete_pids)' -d 'End when this process ends'
complete -c pychatd -n '__fish_seen_subcommand_from run' -l exit-idle -d 'Exit after this many seconds without connections'
complete -c pychatd -n '__fish_seen_subcommand_from config' -l check -d 'Try the key and the allowlist'
complete -c pychatd -n '__fish_seen_subcommand_from backup' -l check -r -F -d 'Check this copy'
complete -c pychatd -n $service -l config -r -F -d 'Configuration file'
complete -c pychatd -n $service -l listen -x -d 'Listen only on this address'
complete -c pychatd -n $service -l handle -x -d "The operator's handle"
complete -c pychatd -n $service -l turns -x -a 'alternate free' -d 'Take turns, or send at any time'
complete -c pychatd -n '__fish_seen_subcommand_from start run fingerprint config backup' -l state-directory -x -a '(__fish_complete_directories)' -d 'Where the journals are'
complete -c pychatd -n $service -l syslog -r -F -d 'The socket of the system log'
complete -c pychatd -n "__fish_seen_subcommand_from $commands" -l runtime-directory -x \
    -a '(__fish_complete_directories)' -d 'Where pidfiles and console sockets are'
complete -c pychatd -n '__fish_seen_subcommand_from status' -l check -d 'For monitoring: tell whether messages can be stored'
complete -c pychatd -n '__fish_seen_subcommand_from status' -l json -d 'One JSON object per line'
complete -c pychatd -n '__fish_seen_subcommand_from invite' -l for -x -d 'Who is invited'
complete -c pychatd -n '__fish_seen_subcommand_from invite' -l valid -x -d 'How long, such as 12h or 7d'
complete -c pychatd -n '__fish_seen_subcommand_from invite' -l host -x -d 'With what the other person reaches this host'
complete -c pychatd -n '__fish_seen_subcommand_from invitations' -l revoke -x -d 'Who is not invited any more'
complete -c pychatd -n '__fish_seen_subcommand_from authorized' -l rename -x -d 'Give an invited caller another name'
complete -c pychatd -n '__fish_seen_subcommand_from authorized' -l remove -x -d 'Put an invited caller out'
complete -c pychatd -n '__fish_seen_subcommand_from status' -l unread-max -x -d 'With --check: tell messages unread for longer'
