"""One user's conversation: joins the rules, a connection and a view. No terminal, no socket."""
