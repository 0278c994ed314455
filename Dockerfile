# The gateway in an image: its own modules compiled, no compiler left behind, no root.
#
#   docker build -t gateway .
#   docker run -p 8080:8080 -e GATEWAY_BACKEND=http://10.0.0.1:8000 gateway
#
# A configuration of your own goes to /etc/gateway/gateway.yaml; see docs/deployment.md.

FROM python:3.12-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE ./
COPY gateway gateway
# A cache in Redis, traces for a collector, and `gateway top` in `docker exec -it`.
ARG EXTRAS=otel,redis,top
# The gateway's own modules are compiled here; its dependencies come as wheels or not at all.
RUN GATEWAY_COMPILE=on pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && python -m venv --without-pip /opt/gateway \
 && pip --python /opt/gateway/bin/python install --no-cache-dir --no-compile --only-binary :all: \
    "$(echo /wheels/*.whl)[$EXTRAS]"
# Bytecode that is never checked against the source's time: nothing could write it again in a read-only image.
RUN python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /opt/gateway/lib

FROM python:3.12-slim
LABEL org.opencontainers.image.title="gateway" \
      org.opencontainers.image.description="A reverse proxy for model servers" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# The base image has the standard library without bytecode; every start and health check would compile it again.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    -x '/(ensurepip|idlelib|lib2to3|pydoc_data|site-packages|tkinter|turtledemo)/' "$(python -c 'import os; print(os.path.dirname(os.__file__))')"
COPY --from=build /opt/gateway /opt/gateway
COPY config/container.yaml /etc/gateway/gateway.yaml

# A number, so that an orchestrator can see that it is not root.
USER 10001:10001
EXPOSE 8080 9901
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-I", "-c", "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 9901, timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["gateway"]
CMD ["run", "-c", "/etc/gateway/gateway.yaml"]
