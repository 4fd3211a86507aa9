"""Agents: can a learned policy beat our rule of thumb in this environment, how surely, and why does it act so?"""
