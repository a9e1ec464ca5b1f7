package peer.bolt;

import com.alipay.remoting.DefaultCustomSerializer;
import com.alipay.remoting.InvokeContext;
import com.alipay.remoting.exception.CodecException;
import com.alipay.remoting.exception.DeserializationException;
import com.alipay.remoting.exception.SerializationException;
import com.alipay.remoting.rpc.RequestCommand;
import com.alipay.remoting.rpc.ResponseCommand;
import com.alipay.remoting.rpc.RpcCommand;
import com.alipay.remoting.rpc.protocol.RpcRequestCommand;
import com.alipay.remoting.rpc.protocol.RpcResponseCommand;
import com.alipay.remoting.serialization.SerializerManager;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** Writes and reads the header of raw Bolt frames as the same list of lengths and texts that SOFARPC uses. */
final class HeaderSerializer extends DefaultCustomSerializer {
    @Override
    public <T extends RequestCommand> boolean serializeHeader(T request, InvokeContext context)
            throws SerializationException {
        RpcRequestCommand command = (RpcRequestCommand) request;
        command.setHeader(write(((Message) command.getRequestObject()).getHeader()));
        return true;
    }

    @Override
    public <T extends ResponseCommand> boolean serializeHeader(T response) throws SerializationException {
        RpcResponseCommand command = (RpcResponseCommand) response;
        if (command.getResponseObject() instanceof Message message) {
            command.setHeader(write(message.getHeader()));
        }
        return true;
    }

    @Override
    public <T extends RequestCommand> boolean deserializeContent(T request) throws DeserializationException {
        RpcRequestCommand command = (RpcRequestCommand) request;
        command.setRequestObject(message(command, command.getRequestClass()));
        return true;
    }

    @Override
    public <T extends ResponseCommand> boolean deserializeContent(T response, InvokeContext context)
            throws DeserializationException {
        RpcResponseCommand command = (RpcResponseCommand) response;
        if (!Message.class.getName().equals(command.getResponseClass())) {
            return false;
        }
        command.setResponseObject(message(command, command.getResponseClass()));
        return true;
    }

    private static Message message(RpcCommand command, String type) throws DeserializationException {
        try {
            Message message = SerializerManager.getSerializer(command.getSerializer())
                    .deserialize(command.getContent(), type);
            message.setHeader(read(command.getHeader()));
            return message;
        } catch (CodecException e) {
            throw new DeserializationException("not a message", e);
        }
    }

    private static byte[] write(Map<String, String> header) {
        ByteBuffer out = ByteBuffer.allocate(Short.MAX_VALUE);
        header.forEach((key, value) -> {
            write(out, key);
            write(out, value);
        });
        byte[] octets = new byte[out.flip().remaining()];
        out.get(octets);
        return octets;
    }

    private static void write(ByteBuffer out, String text) {
        byte[] octets = text.getBytes(StandardCharsets.UTF_8);
        out.putInt(octets.length).put(octets);
    }

    private static Map<String, String> read(byte[] octets) {
        Map<String, String> header = new HashMap<>();
        if (octets != null) {
            ByteBuffer in = ByteBuffer.wrap(octets);
            while (in.hasRemaining()) {
                header.put(text(in), text(in));
            }
        }
        return header;
    }

    private static String text(ByteBuffer in) {
        byte[] octets = new byte[in.getInt()];
        in.get(octets);
        return new String(octets, StandardCharsets.UTF_8);
    }
}
