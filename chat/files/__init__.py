"""Context files below the verbs: their slices, their storage, what is found in them, handing them to agents.

Nothing here decides who may do what, and nothing here is called on the event loop.
"""
