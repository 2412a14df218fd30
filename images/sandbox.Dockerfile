# What a sandbox runs: the base, the guest, the Python side of the kernel. images/sandbox prepares
# the context. Nothing here needs a network.
ARG BASE
FROM ${BASE}
COPY opt/ /opt/
# The root file system is read-only at run time, so what Python and matplotlib would cache is made
# here. Each sandbox runs its user under a uid of its own, so the files that name users are written
# by the guest when it starts, from the templates in /opt/sandgate. What pip says where it refuses is
# Debian's advice for a machine with a network; where it tries one, the first failure says it all.
RUN set -eu; \
    python3 -m compileall -q --invalidation-mode unchecked-hash /opt/sandgate/kernel; \
    MPLCONFIGDIR=/opt/sandgate/mpl python3 -c 'import matplotlib.font_manager'; \
    chmod -R a+rX,go-w /opt/sandgate; \
    mkdir -p /home/user /run/sandgate; \
    cp /etc/passwd /etc/group /opt/sandgate/; \
    for managed in /usr/lib/python3*/EXTERNALLY-MANAGED; do \
      printf '[externally-managed]\nError=%s\n' \
        'A sandbox has no network: what is in the image is what there is. A wheel that was uploaded installs with: pip install --break-system-packages --no-index FILE' \
        >"$managed"; \
    done; \
    printf '[global]\nretries = 1\n' >/etc/pip.conf; \
    rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-; \
    ln -sf /run/sandgate/passwd /etc/passwd; \
    ln -sf /run/sandgate/group /etc/group
