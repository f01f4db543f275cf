# The app on a CPU, as a user without rights: docker build -t diffusion-studio . && docker run -p 7860:7860 diffusion-studio
FROM python:3.12-slim
RUN useradd --create-home --uid 1000 studio
WORKDIR /home/studio/app
COPY requirements.txt ./
# torch as built for CPUs: the usual one brings gigabytes of CUDA
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
    "$(grep '^torch==' requirements.txt)+cpu" -r requirements.txt
COPY app.py LICENSE ./
COPY diffusion_studio ./diffusion_studio
COPY checkpoints ./checkpoints
USER studio
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 7860
# strangers may come: smaller uploads, no training, a limit for each run
CMD ["python", "app.py", "--host", "0.0.0.0", "--port", "7860", "--hosted"]
