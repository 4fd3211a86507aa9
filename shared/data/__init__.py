"""Where data live and how they move: the data home, atomic files, the content-addressed store, named public
sets, tables as users have them, splits that stay put, and audits that find leaks between the parts.
"""
