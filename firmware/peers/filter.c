/* The filters that ours is measured against, written by hand for a controller: no loops over zeros, no matrix library.
 *
 * hand4   four states (SOC, v1, v2, R0), covariance as its ten different numbers
 * plain7  the seven states of bms_core::soc, covariance as its 28 different numbers
 * ud7     the same with the covariance as U D U^T, the equations of bms_core::ud
 *
 * Two currents of thought about rounding: gcc fuses a multiplication with an addition unless told not to. Both are built
 * (NAME adds a suffix), since Rust never does. The arithmetic and its order are otherwise the same in C and in Rust. */

#define CAT2(a, b) a##b
#define CAT(a, b) CAT2(a, b)
#define NAME(f) CAT(f, SUFFIX)
#define EACH _Pragma("GCC unroll 7") for

typedef struct { float k, a1, b1, a2, b2, r, q[4]; const float *ocv; } par4_t;
typedef struct { float x[4], p[10]; } est4_t;

static inline float ocv_f(const float *t, float soc, float *slope)
{
    float s = soc * 20.0f;
    if (s < 0.0f) s = 0.0f;
    if (s > 19.999f) s = 19.999f;
    int j = (int)s;
    float step = t[j + 1] - t[j];
    *slope = step * 20.0f;
    return t[j] + (s - (float)j) * step;
}

void NAME(hand4_step)(est4_t *e, const par4_t *m, float i, float v)
{
    float a1 = m->a1, a2 = m->a2;
    float soc = e->x[0] - m->k * i, v1 = a1 * e->x[1] + m->b1 * i, v2 = a2 * e->x[2] + m->b2 * i, r0 = e->x[3];
    float p00 = e->p[0] + m->q[0], p01 = e->p[1] * a1, p02 = e->p[2] * a2, p03 = e->p[3];
    float p11 = e->p[4] * a1 * a1 + m->q[1], p12 = e->p[5] * a1 * a2, p13 = e->p[6] * a1;
    float p22 = e->p[7] * a2 * a2 + m->q[2], p23 = e->p[8] * a2, p33 = e->p[9] + m->q[3];
    float d, u = ocv_f(m->ocv, soc, &d);
    float er = v - (u - v1 - v2 - r0 * i);
    float h0 = p00 * d - p01 - p02 - p03 * i, h1 = p01 * d - p11 - p12 - p13 * i;
    float h2 = p02 * d - p12 - p22 - p23 * i, h3 = p03 * d - p13 - p23 - p33 * i;
    float s = h0 * d - h1 - h2 - h3 * i + m->r, g = 1.0f / s;
    float k0 = h0 * g, k1 = h1 * g, k2 = h2 * g, k3 = h3 * g;
    e->x[0] = soc + k0 * er; e->x[1] = v1 + k1 * er; e->x[2] = v2 + k2 * er; e->x[3] = r0 + k3 * er;
    e->p[0] = p00 - k0 * h0; e->p[1] = p01 - k0 * h1; e->p[2] = p02 - k0 * h2; e->p[3] = p03 - k0 * h3;
    e->p[4] = p11 - k1 * h1; e->p[5] = p12 - k1 * h2; e->p[6] = p13 - k1 * h3;
    e->p[7] = p22 - k2 * h2; e->p[8] = p23 - k2 * h3; e->p[9] = p33 - k3 * h3;
}

/* SOC, v1, v2, hysteresis, slow error, resistance excess, current offset (in C-rates). */
enum { SOC, V1, V2, HYS, ERR, RES, BIAS, N };
typedef struct {
    float decay[N];    /* of every state over the step; 1 for SOC and offset */
    float coupling[3]; /* what an offset of one does to SOC, v1, v2 */
    float noise[N], r;
    float k, b1, b2;   /* what an ampere does to SOC, v1, v2 */
    float capacity, r0, m, share;
    const float *ocv;
} par7_t;

/* What both have in common: the states over the step, the sensitivities h and the innovation. */
static inline float ahead7(float *x, const par7_t *m, float i, float v, float *h)
{
    float a = i - x[BIAS] * m->capacity, slope;
    x[SOC] = x[SOC] - m->k * a;
    x[V1] = m->decay[V1] * x[V1] + m->b1 * a;
    x[V2] = m->decay[V2] * x[V2] + m->b2 * a;
    x[HYS] = m->decay[HYS] * x[HYS] + (a > 0.0f ? m->decay[HYS] - 1.0f : 1.0f - m->decay[HYS]);
    x[ERR] = m->decay[ERR] * x[ERR];
    x[RES] = m->decay[RES] * x[RES];
    float u = ocv_f(m->ocv, x[SOC], &slope);
    float drop = m->r0 * a + x[V1] + x[V2], scale = 1.0f + x[RES];
    h[SOC] = slope; h[V1] = -scale; h[V2] = -scale; h[HYS] = m->m; h[ERR] = 1.0f; h[RES] = -drop;
    h[BIAS] = m->share * scale * m->r0 * m->capacity;
    return v - (u + m->m * x[HYS] + x[ERR] - scale * drop);
}

typedef struct { float x[N], p[28]; } plain7_t;

/* Where element i <= j lies, column by column. */
#define P(i, j) p[(j) * ((j) + 1) / 2 + (i)]

void NAME(plain7_step)(plain7_t *e, const par7_t *m, float i, float v)
{
    float x[N], h[N], p[28], ph[N], k[N];
    EACH (int a = 0; a < N; a++) x[a] = e->x[a];
    float innovation = ahead7(x, m, i, v, h);
    /* F P F^T: every state decays, three are driven by the last. */
    float b[N];
    EACH (int a = 0; a < N; a++) b[a] = e->P(a, BIAS);
    EACH (int c = 0; c < BIAS; c++)
        EACH (int a = 0; a <= c; a++) p[c * (c + 1) / 2 + a] = e->P(a, c) * m->decay[a] * m->decay[c];
    EACH (int c = 0; c < 3; c++) {
        EACH (int a = 0; a <= c; a++)
            P(a, c) += m->decay[a] * b[a] * m->coupling[c] + m->decay[c] * b[c] * m->coupling[a]
                + m->coupling[a] * m->coupling[c] * b[BIAS];
    }
    EACH (int c = 3; c < BIAS; c++)
        EACH (int a = 0; a < 3; a++) P(a, c) += m->coupling[a] * m->decay[c] * b[c];
    EACH (int a = 0; a < 3; a++) P(a, BIAS) = m->decay[a] * b[a] + m->coupling[a] * b[BIAS];
    EACH (int a = 3; a < BIAS; a++) P(a, BIAS) = m->decay[a] * b[a];
    P(BIAS, BIAS) = b[BIAS];
    EACH (int a = 0; a < N; a++) P(a, a) += m->noise[a];
    float s = m->r;
    EACH (int a = 0; a < N; a++) {
        float sum = 0.0f;
        EACH (int c = 0; c < N; c++) sum += (a <= c ? P(a, c) : P(c, a)) * h[c];
        ph[a] = sum;
        s += sum * h[a];
    }
    float g = 1.0f / s;
    EACH (int a = 0; a < N; a++) {
        k[a] = ph[a] * g;
        e->x[a] = x[a] + k[a] * innovation;
    }
    EACH (int c = 0; c < N; c++)
        EACH (int a = 0; a <= c; a++) e->P(a, c) = P(a, c) - k[a] * ph[c];
}

typedef struct { float x[N], u[21], d[N]; } ud7_t;
#define U(i, j) u[(j) * ((j) - 1) / 2 + (i)]

void NAME(ud7_step)(ud7_t *e, const par7_t *m, float i, float v)
{
    float h[N], gain[N];
    float innovation = ahead7(e->x, m, i, v, h);
    /* Time: columns of U are scaled (U' = F U / decay), then noise state by state (Agee and Turner 1972). */
    EACH (int j = 1; j < N; j++) {
        float inverse = 1.0f / m->decay[j];
        EACH (int a = 0; a < j; a++) {
            float driven = j == BIAS && a < 3 ? m->coupling[a] : 0.0f;
            e->U(a, j) = (m->decay[a] * e->U(a, j) + driven) * inverse;
        }
    }
    EACH (int j = 0; j < N; j++) e->d[j] *= m->decay[j] * m->decay[j];
    EACH (int n = 0; n < N; n++) {
        float weight = m->noise[n], a[N] = {0};
        a[n] = 1.0f;
        EACH (int j = n; j >= 0; j--) {
            float s = a[j], d = e->d[j] + weight * s * s, b = weight * s / d;
            weight *= e->d[j] / d;
            e->d[j] = d;
            EACH (int c = 0; c < j; c++) {
                a[c] -= s * e->U(c, j);
                e->U(c, j) += b * a[c];
            }
        }
    }
    /* Measurement (Bierman 1977). */
    float alpha = m->r;
    EACH (int j = 0; j < N; j++) {
        float f = h[j];
        EACH (int a = 0; a < j; a++) f += e->U(a, j) * h[a];
        float w = e->d[j] * f, next = alpha + f * w, lambda = -f / alpha;
        e->d[j] *= alpha / next;
        EACH (int a = 0; a < j; a++) {
            float u = e->U(a, j);
            e->U(a, j) = u + lambda * gain[a];
            gain[a] += w * u;
        }
        gain[j] = w;
        alpha = next;
    }
    float inverse = 1.0f / alpha;
    EACH (int a = 0; a < N; a++) e->x[a] += gain[a] * inverse * innovation;
}
