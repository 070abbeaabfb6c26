/* Floor of a batch: 2-RC cells as a structure of arrays (per-cell Q, R0, a1, b1, a2, b2; 21-point open-circuit voltage;
   lumped heat), vector extensions. Time outer, cells inner, states in memory, the voltage stored every step.
   g++ -x c++ -O3 -fno-math-errno -ffp-contract=fast -march=haswell -DW=4 limit.c -o limit -lm
   argv: cells steps repeats profile; the profile holds at least `steps` currents in A.
   Prints the least and the median time of a step of one cell in ns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <time.h>
#include <immintrin.h>
typedef double F; typedef long I;
typedef F v __attribute__((vector_size(W*sizeof(F)))); typedef I vi __attribute__((vector_size(W*sizeof(F))));
static const double OC[22]={2.900,3.285,3.392,3.450,3.495,3.530,3.557,3.580,3.603,3.628,3.660,3.700,3.745,3.792,3.840,3.890,3.940,3.992,4.048,4.108,4.180,4.252};
static F TA[32] __attribute__((aligned(64))),TB[32] __attribute__((aligned(64))); /* OCV = TA[k] + s20*TB[k] */
#define S(x) ((v){} + (F)(x))
static inline v vmin(v a,v b){ return a<b?a:b; } static inline v vmax(v a,v b){ return a>b?a:b; }
#if W==8
#define TABS
#define LOOK(x,a,b) { __m256i k=_mm512_cvttpd_epi32((__m512d)(x)); a=(v)_mm512_i32gather_pd(k,TA,8); b=(v)_mm512_i32gather_pd(k,TB,8); }
#elif W==4
#define TABS
#define LOOK(x,a,b) { __m128i k=_mm256_cvttpd_epi32((__m256d)(x)); a=(v)_mm256_i32gather_pd(TA,k,8); b=(v)_mm256_i32gather_pd(TB,k,8); }
#endif
static F *al(size_t n){ void*p; if(posix_memalign(&p,64,n*sizeof(F)+64)) exit(1); memset(p,0,n*sizeof(F)+64); return (F*)p; }
static F *s,*x1,*x2,*th,*kq,*r0,*a1,*b1,*a2,*b2,*V; static int n,T; static F*cur;
#define AT S(0.998572448)
#define GT S(0.01427551)
#define IR1 S(100)
#define IR2 S(66.6666667)
__attribute__((noinline)) void sim_stream(void){ TABS; for(int t=0;t<T;t++){ v i=S(cur[t]); for(int c=0;c<n;c+=W){ v ss=*(v*)(s+c),u=*(v*)(x1+c),w=*(v*)(x2+c),h=*(v*)(th+c);
   ss-=*(v*)(kq+c)*i; u=*(v*)(a1+c)*u+*(v*)(b1+c)*i; w=*(v*)(a2+c)*w+*(v*)(b2+c)*i; v r=*(v*)(r0+c)*i; h=AT*h+GT*(r*i+u*u*IR1+w*w*IR2);
   v x=vmin(vmax(ss*S(20),S(0)),S(19.999)),a,b; LOOK(x,a,b); *(v*)(s+c)=ss;*(v*)(x1+c)=u;*(v*)(x2+c)=w;*(v*)(th+c)=h; *(v*)(V+c)=a+b*x-u-w-r; } } }
static void reset(void){ for(int c=0;c<n;c++){ double z=sin(c*12.9898)*43758.5453; z-=floor(z); z-=0.5; s[c]=0.95;x1[c]=x2[c]=th[c]=0;kq[c]=1/(18000*(1+0.02*z));r0[c]=0.02*(1+0.1*z);a1[c]=exp(-1/(20*(1+0.1*z)));b1[c]=0.01*(1-a1[c]);a2[c]=exp(-1/(300*(1+0.1*z)));b2[c]=0.015*(1-a2[c]); V[c]=3.9; } }
static int cmp(const void*a,const void*b){double q=*(double*)a-*(double*)b;return (q>0)-(q<0);}
int main(int ac,char**av){ if(ac<5) return 2; n=atoi(av[1]);T=atoi(av[2]);int reps=atoi(av[3]); n=(n+W-1)/W*W; for(int k=0;k<21;k++){TB[k]=OC[k+1]-OC[k];TA[k]=OC[k]-k*(OC[k+1]-OC[k]);}
  F**arr[]={&s,&x1,&x2,&th,&kq,&r0,&a1,&b1,&a2,&b2,&V}; for(int k=0;k<11;k++)*arr[k]=al(n+17*k); cur=al(T); FILE*f=fopen(av[4],"r"); if(!f)return 1; for(int t=0;t<T;t++)if(fscanf(f,"%lf",cur+t)!=1)return 1; fclose(f);
  double*d=(double*)malloc(8*reps);
  for(int r=0;r<reps;r++){ reset(); struct timespec a,b; clock_gettime(CLOCK_THREAD_CPUTIME_ID,&a); sim_stream(); clock_gettime(CLOCK_THREAD_CPUTIME_ID,&b); d[r]=(b.tv_sec-a.tv_sec)+1e-9*(b.tv_nsec-a.tv_nsec); }
  qsort(d,reps,8,cmp); double cs=(double)n*T;
  printf("%.5f %.5f %.6f %.6f\n",d[0]*1e9/cs,d[reps/2]*1e9/cs,(double)s[0],(double)V[0]); return 0; }
