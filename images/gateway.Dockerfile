# The gateway itself: one static program and the folders that it needs, in the tar that images/gateway
# makes. Nothing is fetched. A base with certificates of authorities (BASE) serves those whose collector
# of traces has one of a public authority.
ARG BASE=scratch
FROM ${BASE}
ADD rootfs.tar /
# Not root. To reach the engine it needs the group of the engine's socket beside its own:
#   docker run --group-add "$(stat -c %g /var/run/docker.sock)" …
USER 65532:65532
ENV SANDGATE_STATE_DIR=/var/lib/sandgate
HEALTHCHECK --interval=15s --timeout=10s --start-period=2m CMD ["/usr/bin/sandgate", "health"]
ENTRYPOINT ["/usr/bin/sandgate"]
CMD ["serve"]
