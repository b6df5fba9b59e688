# Completion of pychat(1) for fish: options, and the hosts whose keys have been accepted.

# Lines are "HOST:PORT FINGERPRINT CERTIFICATE". Behind a host of the list come its ports.
function __pychat_known
    set -l data ~/.local/share
    set -q XDG_DATA_HOME; and set data $XDG_DATA_HOME
    set -l known (string replace -rf '^(\S+):(\d+) .*' '$1 $2' <$data/pychat/known_hosts 2>/dev/null)
    set -l before (commandline -opc)[-1]
    set -l ports (string replace -f -- "$before " '' $known)
    if set -q ports[1]
        printf '%s\n' $ports
    else
        string replace -r ' .*' '' $known
    end
end

complete -c pychat -f -a '(__pychat_known)'
complete -c pychat -l handle -x -d 'Your handle'
complete -c pychat -l fingerprint -x -d 'Accept this key only'
complete -c pychat -l accept-new -d 'Accept an unknown key without asking'
complete -c pychat -l ca -d 'Trust certificate authorities'
complete -c pychat -l forget -d 'Remove the accepted key of a host'
complete -c pychat -l show-certificate -d 'Print your certificate'
complete -c pychat -l wait -d 'Try again while the line is taken'
complete -c pychat -l plain -d 'Plain lines, no screen'
complete -c pychat -l retry-for -x -d 'Give up calling again after so many seconds'
complete -c pychat -s h -l help -d 'Print the options'
complete -c pychat -l version -d 'Print the version'
