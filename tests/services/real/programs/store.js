// Numbers kept in memory, over HTTP: PUT /7 keeps 7, GET / names all that are kept.
const kept = new Set();
const ballast = Array.from({ length: 64 }, () => Buffer.alloc(1 << 20, 1));
require("node:http")
  .createServer((request, response) => {
    if (request.method === "PUT") {
      const number = Number(request.url.slice(1));
      kept.add(number);
      ballast[number % 64] = Buffer.alloc(1 << 20, number % 251);
      response.end("kept");
    } else {
      response.end([...kept].sort((one, other) => one - other).join(" "));
    }
  })
  .listen(8080);
