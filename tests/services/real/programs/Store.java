// Numbers kept in memory, over HTTP: PUT /7 keeps 7, GET / names all that are kept.
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.stream.Collectors;

class Store {
    public static void main(String[] arguments) throws Exception {
        var kept = new ConcurrentSkipListSet<Integer>();
        var ballast = new byte[64][1 << 20];
        var server = HttpServer.create(new InetSocketAddress(8080), 0);
        server.createContext("/", exchange -> {
            String answer;
            if (exchange.getRequestMethod().equals("PUT")) {
                int number = Integer.parseInt(exchange.getRequestURI().getPath().substring(1));
                kept.add(number);
                ballast[number % 64] = new byte[1 << 20];
                answer = "kept";
            } else {
                answer = kept.stream().map(String::valueOf).collect(Collectors.joining(" "));
            }
            byte[] content = answer.getBytes();
            exchange.sendResponseHeaders(200, content.length == 0 ? -1 : content.length);
            exchange.getResponseBody().write(content);
            exchange.close();
        });
        server.start();
    }
}
