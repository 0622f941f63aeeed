"""The audit pages: who used what, to the token. They show counts, names and ids, never what was written.

Addresses are below /admin/audit/. What is looked at stands in the address, so that a link reproduces it.
All sums come from chat/audit/.
"""
