"""The daemon of host A, and the operator's console.

Built on pychat_client (text, wire, conversation, link and the chat screen); the arrow never points back.
"""
