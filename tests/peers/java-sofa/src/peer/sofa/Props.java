package peer.sofa;

import com.alipay.sofa.rpc.core.exception.SofaRpcException;
import com.alipay.sofa.rpc.core.request.SofaRequest;
import com.alipay.sofa.rpc.core.response.SofaResponse;
import com.alipay.sofa.rpc.filter.Filter;
import com.alipay.sofa.rpc.filter.FilterInvoker;
import java.util.HashMap;
import java.util.Map;

/**
 * Remembers the entries of the header map, of requests at a provider and of responses at a consumer: the
 * framework gives an application its baggage only, and a gateway may add entries that are none.
 */
final class Props extends Filter {
    private final boolean ofRequests;
    private final ThreadLocal<Map<String, String>> last = ThreadLocal.withInitial(Map::of);

    private Props(boolean ofRequests) {
        this.ofRequests = ofRequests;
    }

    static Props ofRequests() {
        return new Props(true);
    }

    static Props ofResponses() {
        return new Props(false);
    }

    /** Those that this thread saw last. */
    Map<String, String> last() {
        return last.get();
    }

    void forget() {
        last.remove();
    }

    @Override
    public SofaResponse invoke(FilterInvoker next, SofaRequest request) throws SofaRpcException {
        if (ofRequests) {
            keep(request.getRequestProps());
        }
        SofaResponse response = next.invoke(request);
        if (!ofRequests && response != null) {
            keep(response.getResponseProps());
        }
        return response;
    }

    private void keep(Map<String, ?> props) {
        Map<String, String> texts = new HashMap<>();
        if (props != null) {
            props.forEach((key, value) -> {
                if (value instanceof String text) {
                    texts.put(key, text);
                }
            });
        }
        last.set(texts);
    }
}
