# syntax=docker/dockerfile:1
# One image with axp-node, axp-gateway and axp. `make image` builds it; helm/axp runs it.
#
# There is no container runtime where this project is developed, so this file has been read but not
# yet built: treat the first build as its test.

ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
# The caches stay out of the image and speed the next build up.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p axp-node -p axp-gateway -p axp-cli \
    && mkdir /out \
    && cp target/release/axp-node target/release/axp-gateway target/release/axp /out/ \
    # An empty folder that the user below owns, for runs without a volume.
    && mkdir -p /rootfs/var/lib/axp

# The base is here for its C library. Nothing starts a shell: probes are HTTP, hooks are our own
# program, and the root file system may be read-only.
FROM ${BASE_IMAGE}
COPY --from=build /out/ /usr/local/bin/
# Whom nodes trust when they push to https callbacks; the slim base has none.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /rootfs/var/lib/axp /var/lib/axp
USER 65532:65532
VOLUME /var/lib/axp
WORKDIR /var/lib/axp
CMD ["/usr/local/bin/axp", "--help"]
