package peer.api;

/** Octets that tell whether any of them was lost, moved or changed on the way. */
public final class Blobs {
    private Blobs() {
    }

    public static byte[] of(int size) {
        byte[] octets = new byte[size];
        for (int i = 0; i < size; i++) {
            octets[i] = at(i);
        }
        return octets;
    }

    /** The size, or an exception at the first octet that is wrong. */
    public static int check(byte[] octets) {
        for (int i = 0; i < octets.length; i++) {
            if (octets[i] != at(i)) {
                throw new IllegalArgumentException("octet " + i + " of " + octets.length + " is wrong");
            }
        }
        return octets.length;
    }

    private static byte at(int i) {
        return (byte) (i * 31 + (i >>> 8));
    }
}
