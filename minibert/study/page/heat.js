// Heat maps: a color for a number. Orange is negative, blue positive; the strength of the color is the magnitude.

const NEGATIVE = [214, 106, 20];
const POSITIVE = [38, 112, 196];
const MAX_PIXELS = 256;

/**
 * Return the strength of the color of a number, from 0 to 1.
 * @param {number | undefined} value
 * @param {number} largest - The largest finite magnitude of the matrix.
 */
function heat(value, largest) {
  if (value === undefined || Number.isNaN(value) || value === 0) {
    return 0;
  }
  return Number.isFinite(value) && largest > 0 ? Math.abs(value) / largest : 1;
}

/**
 * Draw a slice of a tensor, one pixel per number. Of a large matrix only some rows and columns are drawn.
 * @param {HTMLCanvasElement} canvas
 * @param {Tensor} tensor
 * @param {number} slice
 * @param {number} [largest] - The magnitude that has the full color.
 */
function paint(canvas, tensor, slice, largest = tensor.range(slice).largest) {
  const height = Math.max(1, Math.min(tensor.rows, MAX_PIXELS));
  const width = Math.max(1, Math.min(tensor.columns, MAX_PIXELS));
  const image = new ImageData(width, height);
  let pixel = 0;
  for (let y = 0; y < height; y++) {
    const start = tensor.index(slice, Math.floor((y * tensor.rows) / height), 0);
    for (let x = 0; x < width; x++) {
      const value = tensor.at(start + Math.floor((x * tensor.columns) / width)) ?? 0;
      const color = value < 0 ? NEGATIVE : POSITIVE;
      image.data[pixel++] = color[0];
      image.data[pixel++] = color[1];
      image.data[pixel++] = color[2];
      image.data[pixel++] = 255 * heat(value, largest);
    }
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}
