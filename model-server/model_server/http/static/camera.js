// Frames of the camera, as pictures small enough to be sent many times a second.

const LONGEST_SIDE = 960;

export async function startCamera(video) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error(
      "Browsers give a camera only to https pages and to localhost: use kubectl port-forward.",
    );
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "environment", width: { ideal: 1280 } },
    });
  } catch (error) {
    throw new Error(`The camera cannot be used: ${error.message}`);
  }
  video.srcObject = stream;
  await video.play();

  async function frame() {
    const shrink = Math.min(1, LONGEST_SIDE / Math.max(video.videoWidth, video.videoHeight));
    const canvas = new OffscreenCanvas(
      Math.round(video.videoWidth * shrink),
      Math.round(video.videoHeight * shrink),
    );
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 });
    return { blob, bitmap: canvas.transferToImageBitmap() };
  }

  function stop() {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  }

  return { frame, stop };
}
