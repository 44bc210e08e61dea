// Pictures on the page of a cover that could not be shown are asked for again, as in the gallery; the words stay until the picture is there.
const RETRY_SECONDS = [5, 300]; // the first wait, doubled up to the last
const PICTURES = ".rd-cover img";
const waiting = new WeakSet();

const askAgain = (image, seconds) => setTimeout(() => {
  if (!image.isConnected) return;
  const asked = new Image();
  asked.onload = () => {
    waiting.delete(image);
    image.src = asked.src;
  };
  asked.onerror = () => askAgain(image, Math.min(2 * seconds, RETRY_SECONDS[1]));
  asked.src = image.src;
}, 1000 * seconds);

const hear = ({ target }) => {
  if (!target.matches?.(PICTURES) || waiting.has(target)) return;
  waiting.add(target);
  askAgain(target, RETRY_SECONDS[0]);
};

export default function () {
  document.addEventListener("error", hear, true); // it does not bubble
  for (const image of document.querySelectorAll(PICTURES)) if (image.complete && !image.naturalWidth) hear({ target: image });
  return () => document.removeEventListener("error", hear, true);
}
