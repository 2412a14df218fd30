# The base image where a registry is reachable. images/base builds the same without one.
# Context: the folder images/.
ARG BASE=debian:trixie-slim
FROM ${BASE}
COPY base.packages base.clean /tmp/
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      $(grep -v '^#' /tmp/base.packages) \
 && sh /tmp/base.clean && rm /tmp/base.packages /tmp/base.clean
