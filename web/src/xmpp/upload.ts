import { ns } from "./ns";
import type { Session } from "./session";
import { children, xml } from "./xml";

/** Sends a file to the server (XEP-0363); returns its address. */
export async function upload(
  session: Session,
  service: string,
  file: File,
  onProgress: (share: number) => void,
  abort?: AbortSignal,
): Promise<string> {
  const type = file.type || "application/octet-stream";
  const request = xml("request", {
    xmlns: ns.upload,
    filename: file.name,
    size: String(file.size),
    "content-type": type,
  });
  const slot = await session.get(request, service);
  const put = slot?.getChild("put");
  const address = slot?.getChild("get")?.attrs.url;
  if (!put?.attrs.url || !address) throw new Error("no slot");
  const headers = new Map(children(put, "header").map((h) => [h.attrs.name ?? "", h.text()]));
  headers.set("Content-Type", type);
  await send(put.attrs.url, headers, file, onProgress, abort);
  return address;
}

/** Section 5: other headers are not to be sent, whoever asks for them. */
const ALLOWED = ["authorization", "content-type", "cookie", "expires"];

// Not `fetch`: it does not say how far it is.
function send(
  url: string,
  headers: Map<string, string>,
  file: File,
  onProgress: (share: number) => void,
  abort?: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    for (const [name, value] of headers) {
      // Cookies are the browser's own.
      if (ALLOWED.includes(name.toLowerCase()) && name.toLowerCase() !== "cookie") {
        request.setRequestHeader(name, value.replace(/[\r\n]/g, ""));
      }
    }
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    request.onload = () =>
      request.status < 300 ? resolve() : reject(new Error(`HTTP ${request.status}`));
    request.onerror = () => reject(new Error("no connection"));
    request.onabort = () => reject(new Error("aborted"));
    abort?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
