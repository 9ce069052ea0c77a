# Any image with Python 3.11 or later, here and in the cluster: the interpreter stays where the base has it.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS dependencies
# `wheels*` brings the contents of wheels/ when that directory exists: a build without network, and without pip in the base
# (hack/cluster/build-image does so). Otherwise pip asks the index it is configured for. The lock's hashes hold either way.
COPY requirements/operator.lock wheels* /wheels/
RUN set -eu; \
    python3 -m venv --without-pip /opt/carillon; \
    offline=''; pip='python3 -m pip'; \
    if ls /wheels/*.whl >/dev/null 2>&1; then offline='--no-index --find-links=/wheels'; fi; \
    if ls /wheels/pip-*.whl >/dev/null 2>&1; then pip="python3 $(ls /wheels/pip-*.whl)/pip"; fi; \
    $pip --python /opt/carillon/bin/python install $offline --require-hashes --only-binary=:all: --no-compile --no-cache-dir \
        --disable-pip-version-check --root-user-action=ignore -r /wheels/operator.lock; \
    # Bytecode that is never checked against the source: nothing to write at run time, on a root filesystem that is read-only.
    # Not of the client's models, which nobody imports: 50 MB.
    /opt/carillon/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -x 'kubernetes/(aio/)?client/(models|api)/[a-z]' /opt/carillon

FROM ${BASE_IMAGE} AS operator
COPY operator/carillon /opt/carillon/operator/carillon
RUN set -eu; \
    mkdir /opt/carillon/bin; \
    printf '#!/opt/carillon/bin/python\nfrom carillon.cli.main import main\n\nmain()\n' > /opt/carillon/bin/carillon; \
    chmod 0755 /opt/carillon/bin/carillon; \
    python3 -m compileall -q --invalidation-mode unchecked-hash /opt/carillon

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title=carillon \
      org.opencontainers.image.description="Runs jobs on a schedule, on an event or on demand in Kubernetes, and remembers what happened." \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=${VERSION}
# USER and HOME: a user without an entry in /etc/passwd has no others, and kopf asks for the name.
ENV PATH=/opt/carillon/bin:$PATH PYTHONPATH=/opt/carillon/operator PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    USER=carillon HOME=/tmp
COPY --from=dependencies /opt/carillon /opt/carillon
COPY --from=operator /opt/carillon /opt/carillon
USER 65532:65532
ENTRYPOINT ["carillon"]
