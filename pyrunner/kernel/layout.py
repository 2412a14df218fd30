"""Where things are in the image, and which descriptors a kernel keeps."""

import sys

# The user's world. Identity is by number; the name only makes programs feel at home.
HOME = "/home/user"
USER = "user"
USER_SITE = f"{HOME}/.local/lib/python3.13/site-packages"
USER_BIN = f"{HOME}/.local/bin"

# What imports of the kernel itself may find: the path of an isolated interpreter.
TRUSTED_PATH = tuple(sys.path)

# matplotlib looks for its font cache in a folder that it can write to. The one built with the image cannot be
# written, so each user of it gets a folder with a link to the cache.
MPL_IMAGE_DIR = "/opt/sandgate/mpl"
MPL_ZYGOTE_DIR = "/run/sandgate/mpl-zygote"
MPL_USER_DIR = "/tmp/.matplotlib"

# IPython writes a profile wherever it starts; it need not litter the workspace.
IPYTHON_DIR = "/tmp/.ipython"

# Descriptors of a kernel beyond 0, 1 and 2. High, because programs that become daemons close the low ones.
FD_BASE = 240
FD_CHANNEL = 240
FD_INTERRUPT = 241
FD_LATE = 242
FD_STDOUT = 243
FD_STDERR = 244
FD_END = 245


def user_path():
    """Returns sys.path as user code shall see it: that of a plain `python3` with the user's site."""
    path = [""]
    for entry in TRUSTED_PATH:
        if "dist-packages" in entry and USER_SITE not in path:
            path.append(USER_SITE)
        path.append(entry)
    if USER_SITE not in path:
        path.append(USER_SITE)
    return path
