// Send a photo with java.net.http in many ways: java Upload.java ADDRESS PHOTO -> one line of way, tab, answer each.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;

public class Upload {
    static URI address;

    public static void main(String[] arguments) throws Exception {
        address = URI.create(arguments[0]);
        Path path = Path.of(arguments[1]);
        byte[] photo = Files.readAllBytes(path);
        String lines = Base64.getMimeEncoder().encodeToString(photo);
        send("file without a type", null, BodyPublishers.ofFile(path));
        send("bytes", "image/jpeg", BodyPublishers.ofByteArray(photo));
        send("chunks", "image/jpeg", BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(photo)));
        send("MIME encoder in JSON", "application/json",
                BodyPublishers.ofString("{\"image\": \"" + lines.replace("\r\n", "\\r\\n") + "\"}"));
        send("MIME encoder in JSON, line breaks not escaped", "application/json",
                BodyPublishers.ofString("{\"image\": \"" + lines + "\"}"));
        send("MIME encoder in a part", "multipart/form-data; boundary=Xy",
                BodyPublishers.ofString("--Xy\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\n" + lines + "\r\n--Xy--"));
    }

    static void send(String way, String type, HttpRequest.BodyPublisher body) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(address).version(HttpClient.Version.HTTP_1_1).POST(body);
        if (type != null) {
            request.header("Content-Type", type);
        }
        String answer = HttpClient.newHttpClient().send(request.build(), BodyHandlers.ofString()).body();
        System.out.println(way + "\t" + answer);
    }
}
