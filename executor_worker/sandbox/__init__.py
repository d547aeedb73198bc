"""Confines one process, from the inside, under layers that do not trust each other. See README.md.

Standard library only, nothing of ours: this folder can be read, attacked and tested by itself.
"""
