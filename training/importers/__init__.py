"""What other programs leave of a training run, read into the entries of this project's log: one module per form.

A reader is a function ``read(path, found)``: it hands each row of its file to ``found``, as the file names and writes
the values, and returns what the file says about the run as a whole. Names, numbers, evaluation rows and restarts are
understood in one place for all forms (``fields`` and ``found``).
"""
