// Before the first run: still noise, so that the page says what is to come.
const stillNoise = (canvas) => {
  const context = canvas.getContext('2d'), picture = context.createImageData(canvas.width, canvas.height);
  for (let i = 0; i < picture.data.length; i += 4) {
    const grey = 128 + 46 * (Math.random() + Math.random() + Math.random() - 1.5) * 2;
    picture.data.set([grey, grey, grey, 255], i);
  }
  context.putImageData(picture, 0, 0);
};
