"""The daemon of host A, and the operator's console.

Built on pychat_client: its protocol, transport, session and screen. pychat_client never imports this package.
"""
