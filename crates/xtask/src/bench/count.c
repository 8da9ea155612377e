/* The least that a program can do with libpcap: count packets and bytes. */
#include <pcap/pcap.h>
#include <stdio.h>

static unsigned long long packets, bytes;

static void count(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
    (void)user;
    (void)data;
    packets++;
    bytes += header->len;
}

int main(int argc, char **argv)
{
    char error[PCAP_ERRBUF_SIZE] = "usage: count FILE";
    pcap_t *file = argc == 2 ? pcap_open_offline(argv[1], error) : NULL;
    if (!file || pcap_loop(file, -1, count, NULL) != 0) {
        fprintf(stderr, "%s\n", file ? pcap_geterr(file) : error);
        return 1;
    }
    printf("%llu %llu\n", packets, bytes);
    return 0;
}
