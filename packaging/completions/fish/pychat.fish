# Completion of pychat(1) for fish: commands, options, contacts, and known hosts with their ports.

# Each target is "CONTACT" or "HOST PORT". After a host of the list come its ports.
function __pychat_targets
    set -l known (pychat --list-targets 2>/dev/null)
    set -l before (string escape --style=regex -- (commandline -opc)[-1])
    set -l ports (string replace -rf -- "^$before " '' $known)
    if set -q ports[1]
        printf '%s\n' $ports
    else
        string replace -r ' .*' '' $known
    end
end

# The command is the first word, or none: anywhere else a host could have such a name.
function __pychat_command_is
    contains -- (commandline -opc)[2] $argv
end

set -l send '__pychat_command_is send'
set -l replies '__pychat_command_is replies'
set -l listen '__pychat_command_is listen'
set -l talk 'not __pychat_command_is send replies listen forget certificate'
set -l call 'not __pychat_command_is replies listen forget certificate'

complete -c pychat -f
complete -c pychat -n 'not __pychat_command_is listen certificate' -a '(__pychat_targets)'
complete -c pychat -n __fish_is_first_arg -a send -d 'Send one message'
complete -c pychat -n __fish_is_first_arg -a replies -d 'Print the answers'
complete -c pychat -n __fish_is_first_arg -a listen -d 'Let somebody call you'
complete -c pychat -n __fish_is_first_arg -a forget -d 'Remove the saved key of a host'
complete -c pychat -n __fish_is_first_arg -a certificate -d 'Print your certificate'
complete -c pychat -n $send -l expect-reply -d 'Wait for a reply, and print it'
complete -c pychat -n $send -l open -d 'Leave the conversation open'
complete -c pychat -n $send -l timeout -x -d 'Give up after this many seconds'
complete -c pychat -n $replies -l wait -d 'Wait until a message comes'
complete -c pychat -n $replies -l json -d 'JSON objects, for programs'
complete -c pychat -n $listen -l for -x -d 'Who is invited'
complete -c pychat -n $listen -l handle -x -d 'Your handle'
complete -c pychat -n $listen -l host -x -d 'With what the other person reaches this host'
complete -c pychat -n $listen -l keep -d 'The service goes on when the console ends'
complete -c pychat -n $listen -l live -d 'Let both sides see what is typed'
complete -c pychat -n $listen -l plain -d 'Plain lines, no screen'
complete -c pychat -n $listen -l runtime-directory -x -a '(__fish_complete_directories)' -d 'As for pychatd'
complete -c pychat -n $listen -l state-directory -x -a '(__fish_complete_directories)' -d 'As for pychatd'
complete -c pychat -n $call -l handle -x -d 'Your handle'
complete -c pychat -n $call -l fingerprint -x -d 'Accept only this key'
complete -c pychat -n $call -l invite -x -d 'Come with an invitation of the operator'
complete -c pychat -n $call -l accept-new -d "Accept an unknown host's key without asking"
complete -c pychat -n $call -l ca -d "Trust certificates signed by the system's CAs"
complete -c pychat -n $talk -l new -d 'End the open conversation, and begin another one'
complete -c pychat -n $talk -l take-over -d 'Move the conversation here from another window'
complete -c pychat -n $talk -l repeat -x -a all -d 'Show this many messages again'
complete -c pychat -n $talk -l classic -d 'Call a classic server'
complete -c pychat -n $talk -l no-hello -d 'Classic: send nothing before the first message'
complete -c pychat -n $talk -l hello -x -d 'Classic: send this text first'
complete -c pychat -n $talk -l end-mark -x -d 'Classic: send this after each message'
complete -c pychat -n $talk -l quit-word -x -d 'Classic: send this to end the conversation'
complete -c pychat -n $call -l via -x -d 'Connect through a program'
complete -c pychat -n $call -l wait -d 'Keep calling until the service is free'
complete -c pychat -n $talk -l json -d 'JSON objects, for programs'
complete -c pychat -n $talk -l live -d 'Let both sides see what is typed'
complete -c pychat -n $talk -l no-history -d 'Do not save or suggest typed lines'
complete -c pychat -n $talk -l log -r -F -d 'Append the conversation to a file'
complete -c pychat -n $talk -l plain -d 'Plain lines, no screen'
complete -c pychat -n $talk -l retry-for -x -d 'Give up after this many seconds without a connection'
complete -c pychat -s h -l help -d 'Print the options'
complete -c pychat -n $talk -l version -d 'Print the version'
