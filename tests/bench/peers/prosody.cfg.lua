-- Two local accounts, a and b. With {mam} true every message goes to an archive in SQLite, and clients
-- connect without TLS; without it nothing is stored, and they connect with TLS.
run_as_root = true
daemonize = false
pidfile = "{directory}/prosody.pid"
data_path = "{directory}/data"
certificates = "{directory}"
plugin_paths = {{}}
log = {{ error = "{directory}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {plain_port} }}
c2s_direct_tls_ports = {{ {tls_port} }}
s2s_ports = {{}}
s2s_direct_tls_ports = {{}}
http_ports = {{}}
https_ports = {{}}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
modules_enabled = {{ "saslauth", "tls", {modules} }}
modules_disabled = {{ "s2s", "offline" }}
storage = {{ archive = "sql", accounts = "internal" }}
sql = {{ driver = "SQLite3", database = "{directory}/prosody.sqlite" }}
default_archive_policy = true
archive_expires_after = "never"
ssl = {{ key = "{directory}/key.pem", certificate = "{directory}/cert.pem" }}
VirtualHost "localhost"
