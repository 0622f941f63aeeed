"""One turn, from accepted question to ended answer: runner, hub, store, reaper.

A turn is a task of the process, never of a socket. It may be watched, stopped and reaped; nothing
here decides who may do so.
"""
