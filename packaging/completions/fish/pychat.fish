# Completion of pychat(1) for fish: commands, options, and the lines that the user has named or called.

# Lines are "NAME" or "HOST PORT". Behind a host of the list come its ports.
function __pychat_known
    set -l known (pychat --list-lines 2>/dev/null)
    set -l before (string escape --style=regex -- (commandline -opc)[-1])
    set -l ports (string replace -rf -- "^$before " '' $known)
    if set -q ports[1]
        printf '%s\n' $ports
    else
        string replace -r ' .*' '' $known
    end
end

set -l send '__fish_seen_subcommand_from send'
set -l talk "not $send"

complete -c pychat -f -a '(__pychat_known)'
complete -c pychat -n __fish_is_first_arg -a send -d 'Send one message'
complete -c pychat -n $send -l expect-reply -d 'Wait for the answer'
complete -c pychat -n $send -l timeout -x -d 'Give up after so many seconds'
complete -c pychat -l handle -x -d 'Your handle'
complete -c pychat -l fingerprint -x -d 'Accept this key only'
complete -c pychat -l accept-new -d 'Accept an unknown key without asking'
complete -c pychat -l ca -d 'Trust certificate authorities'
complete -c pychat -n $talk -l classic -d 'Call a classic server'
complete -c pychat -n $talk -l no-hello -d 'Classic: nothing before the first message'
complete -c pychat -n $talk -l hello -x -d 'Classic: these words first'
complete -c pychat -n $talk -l end-mark -x -d 'Classic: behind each message'
complete -c pychat -n $talk -l quit-word -x -d 'Classic: the end'
complete -c pychat -n $talk -l forget -d 'Remove the accepted key of a host'
complete -c pychat -n $talk -l show-certificate -d 'Print your certificate'
complete -c pychat -l wait -d 'Call until somebody answers'
complete -c pychat -n $talk -l json -d 'JSON objects, for programs'
complete -c pychat -n $talk -l no-history -d 'Keep no line that is typed'
complete -c pychat -n $talk -l log -r -F -d 'Append what is said to a file'
complete -c pychat -n $talk -l plain -d 'Plain lines, no screen'
complete -c pychat -n $talk -l retry-for -x -d 'Give up calling again after so many seconds'
complete -c pychat -s h -l help -d 'Print the options'
complete -c pychat -n $talk -l version -d 'Print the version'
