"""Loads a declared library by its bare name, and reads a declared variable."""

import ctypes
import os

library = ctypes.CDLL("libgreeting.so.1")
library.greeting.restype = ctypes.c_char_p
greeting = library.greeting().decode()

greeted = os.environ["GREETED"]
assert greeted == "it's you, $HOME", greeted
print(f"{greeting}: {greeted}")
