// What a filter needs of WASI 0.1: standard input and output, the environment, an exit status.

@external("wasi_snapshot_preview1", "fd_read")
declare function fd_read(fd: i32, vectors: usize, count: i32, done: usize): i32;
@external("wasi_snapshot_preview1", "fd_write")
declare function fd_write(fd: i32, vectors: usize, count: i32, done: usize): i32;
@external("wasi_snapshot_preview1", "environ_sizes_get")
declare function environ_sizes_get(count: usize, size: usize): i32;
@external("wasi_snapshot_preview1", "environ_get")
declare function environ_get(pointers: usize, texts: usize): i32;
@external("wasi_snapshot_preview1", "proc_exit")
declare function proc_exit(status: i32): void;

// A pointer and a length, as WASI takes them, and two numbers that it fills in.
const vector = memory.data(8);
const first = memory.data(4);
const second = memory.data(4);

// Reads into the buffer from `start` on, and gives the number of octets; 0 at the end.
export function read(buffer: Uint8Array, start: i32): i32 {
  store<u32>(vector, <u32>(buffer.dataStart + start));
  store<u32>(vector, buffer.length - start, 4);
  if (fd_read(0, vector, 1, first) != 0) exit(1, "the message can't be read");
  return load<i32>(first);
}

// Writes all of these octets to standard output (1) or standard error (2).
export function write(fd: i32, start: usize, length: i32): void {
  while (length > 0) {
    store<u32>(vector, <u32>start);
    store<u32>(vector, length, 4);
    if (fd_write(fd, vector, 1, first) != 0) proc_exit(1);
    start += load<u32>(first);
    length -= load<i32>(first);
  }
}

export function print(fd: i32, text: string): void {
  const octets = String.UTF8.encode(text);
  write(fd, changetype<usize>(octets), octets.byteLength);
}

// Ends with this status; the reason is what popgate tells.
export function exit(status: i32, reason: string): void {
  print(2, reason + "\n");
  proc_exit(status);
}

// A variable of the environment without its percent-encoding (RFC 3986), empty if there is none.
export function variable(name: string): string {
  environ_sizes_get(first, second);
  const pointers = new StaticArray<u32>(load<i32>(first) + 1);
  const texts = new ArrayBuffer(load<i32>(second) + 1);
  environ_get(changetype<usize>(pointers), changetype<usize>(texts));
  for (let index = 0; index < load<i32>(first); index++) {
    let end: usize = pointers[index];
    while (load<u8>(end) != 0) end++;
    const text = String.UTF8.decodeUnsafe(pointers[index], end - pointers[index]);
    if (text.startsWith(name + "=")) return decodeURIComponent(text.slice(name.length + 1));
  }
  return "";
}

// Where AssemblyScript goes when something is impossible.
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  exit(1, (message ? message : "aborted") + " at " + (file ? file : "?") + ":" + line.toString());
}
