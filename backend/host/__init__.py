"""What runs where: the private servers, the child processes of `redrive up`, and the servers a command talks to.

Nothing here knows what a problem or an operation is.
"""
