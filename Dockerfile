# CPU: docker build -t seaspeak .        GPU: docker build --target gpu -t seaspeak:gpu .
#      docker run --rm -v "$PWD:/data" seaspeak transcribe talk.wav        (GPU: docker run --gpus all ...)
FROM python:3.11-slim AS source
WORKDIR /seaspeak
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src

# The plain build of torch brings its own CUDA; the host needs only the driver.
FROM source AS gpu
RUN pip install --no-cache-dir -c constraints.txt ".[asr]"
WORKDIR /data
ENTRYPOINT ["seaspeak"]

FROM source AS cpu
RUN pip install --no-cache-dir uv && uv pip install --no-cache --system --torch-backend=cpu "$(head -n 1 constraints.txt)"
RUN pip install --no-cache-dir -c constraints.txt ".[asr]"
WORKDIR /data
ENTRYPOINT ["seaspeak"]
