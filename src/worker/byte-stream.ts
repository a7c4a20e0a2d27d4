const encoder = new TextEncoder();

/** Returns a stream that makes each piece when it is read. A stream of bytes, since only those travel between objects. */
export function byteStream(pieces: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done === true) {
        controller.close();
        // A reader that brought its own buffer is waiting for an answer.
        controller.byobRequest?.respond(0);
      } else controller.enqueue(encoder.encode(value));
    },
    async cancel() {
      await pieces.return(undefined);
    },
  });
}
